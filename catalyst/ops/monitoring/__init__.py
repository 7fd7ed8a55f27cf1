"""What operators see: doctor, metrics, the page of the instance."""
