"""Discretizations: methods that turn an equation into `u -> u_t` on a grid."""
