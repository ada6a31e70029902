"""Plain types, errors, label schemes and small services that every other room may use."""
