"""Classifiers of pictures as recipes: layers, regularisation and training as parameters; the zoo and the ablation."""
