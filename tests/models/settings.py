"""Arguments of the architectures, of which tests say what they change."""

NORM = {"norm_placement": "before_activation", "norm_momentum": 0.9, "norm_epsilon": 1e-3}
MLP = {"hidden_units": 6, "hidden_layers": 2, "activation": "relu", "dropout_rate": 0.0, **NORM}
CNN = {"filters": [2, 3], "kernel_size": 3, "activation": "relu", "pooling": "max", "pool_size": 2}
CNN |= {"collapse": "global_average", "dropout_rate": 0.0, "l2": 0.0, **NORM}
