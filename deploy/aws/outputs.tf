output "provider" {
  description = "What a provider's `waxwing deliver` is told: export these."
  value = {
    AWS_REGION       = var.region
    WAXWING_STORE    = "s3://${aws_s3_bucket.this["input"].id}"
    WAXWING_LEDGER   = "dynamodb:${aws_dynamodb_table.jobs.name}"
    WAXWING_QUEUE    = aws_sqs_queue.jobs.id
    WAXWING_REGISTRY = "secrets-manager:${local.agents_prefix}"
  }
}

output "roles" {
  description = "The roles to assume."
  value       = { for name, role in aws_iam_role.people : name => role.arn }
}

output "private_key_secret" {
  description = "Where the worker's private key is to be put."
  value       = aws_secretsmanager_secret.private_key.name
}

output "output_bucket" {
  description = "Where plaintexts appear."
  value       = aws_s3_bucket.this["output"].id
}
