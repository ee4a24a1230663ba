"""``kbwatch inventory``: who the nodes are, from the operator's file to kbw-inventory."""
