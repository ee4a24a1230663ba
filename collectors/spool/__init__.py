"""The disk spool and the bookmarks."""
