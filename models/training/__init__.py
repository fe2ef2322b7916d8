"""What every training here shares: recipes, runs that survive a kill, archives, scores and pictures of both."""
