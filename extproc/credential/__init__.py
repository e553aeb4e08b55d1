"""The credentials that resources need and jobs never see."""
