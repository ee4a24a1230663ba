"""Foreign shapes of Windows events → ``reports.Event``. One file a shape, pure."""
