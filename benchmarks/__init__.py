"""What `make bench` runs: the limit and the peers, side by side in one run."""
