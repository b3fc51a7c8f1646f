"""Apache Kafka as a kit: its jars from Maven, for tests, benchmarks and native starts."""
