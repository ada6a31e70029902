"""Tables of any format, read and written in one way by every command."""
