"""Problems to optimise, each with fixed references and the best hypervolume that is possible."""
