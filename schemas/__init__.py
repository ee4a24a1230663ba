"""The contracts: what every part of kbwatch says to every other. Imports no other part."""
