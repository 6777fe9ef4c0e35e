"""penstock: Spark pipelines into Amazon SageMaker Feature Store."""
