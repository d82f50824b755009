"""What is known of databases: their snapshots, their sizes, what a change would lose."""
