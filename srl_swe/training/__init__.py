"""How a policy learns: samples, losses, objectives, the learner and the loop."""
