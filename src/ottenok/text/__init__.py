"""Texts made comparable: Unicode, invisible characters, URLs, users, emoji and emoticons."""
