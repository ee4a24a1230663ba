"""What Windows facts mean: event kinds, builds and KBs, boots and patch states."""
