"""What a TOML recipe may say, readable without torch."""
