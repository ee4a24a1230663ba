"""Windows itself: the thin calls into it, and who this computer is."""
