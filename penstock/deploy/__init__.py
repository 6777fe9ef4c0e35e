"""A project brought to EMR Serverless, EMR or Glue: what is shipped, and what is asked of AWS."""
