"""Where accounts come from: one file per module of Courier's, and the table that finds it by name."""
