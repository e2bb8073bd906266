# Keys in Secrets Manager. The public keys of agents are secrets below a prefix; registrars make them, not Terraform.

locals {
  agents_prefix = "${var.name}/agents/"
  agents_arn = join(":", [
    "arn", data.aws_partition.current.partition, "secretsmanager", var.region,
    data.aws_caller_identity.current.account_id, "secret", local.agents_prefix,
  ])
}

# The worker's private key. Its value is put by its owner and never known to Terraform, whose state would keep it.
resource "aws_secretsmanager_secret" "private_key" {
  name                    = "${var.name}/worker/private-key"
  description             = "PEM of the worker's private key"
  recovery_window_in_days = 30
}
