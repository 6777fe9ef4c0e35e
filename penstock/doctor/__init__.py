"""``penstock doctor``: what machine, configuration and role lack, each with its remedy."""
