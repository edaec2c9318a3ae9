import corpus  # noqa: F401  (decides where compiled kernels are kept)
