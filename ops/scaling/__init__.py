"""Decisions for people: told in sentences, made again over recorded windows, and tried on paper before they are trusted."""
