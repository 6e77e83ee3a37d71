"""A population: one computation, in which the worst trials copy the best now and then and go on with other
hyperparameters (Jaderberg et al. 2017)."""
