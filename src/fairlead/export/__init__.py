"""Studies as other tools know them: tables, a study of Optuna, runs of MLflow."""
