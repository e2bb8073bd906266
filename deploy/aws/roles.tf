# Who may do what: policies/ has one file for each role, and a test that each is enough and not more.

locals {
  policies = {
    registrar = templatefile("${path.module}/policies/registrar.json", { agents_arn = local.agents_arn })
    provider = templatefile("${path.module}/policies/provider.json", {
      agents_arn = local.agents_arn
      input_arn  = aws_s3_bucket.this["input"].arn
      table_arn  = aws_dynamodb_table.jobs.arn
      queue_arn  = aws_sqs_queue.jobs.arn
    })
    worker = templatefile("${path.module}/policies/worker.json", {
      agents_arn      = local.agents_arn
      private_key_arn = aws_secretsmanager_secret.private_key.arn
      output_arn      = aws_s3_bucket.this["output"].arn
      table_arn       = aws_dynamodb_table.jobs.arn
      queue_arn       = aws_sqs_queue.jobs.arn
    })
    execution = templatefile("${path.module}/policies/execution.json", {
      private_key_arn = aws_secretsmanager_secret.private_key.arn
      log_group_arn   = aws_cloudwatch_log_group.worker.arn
      repository_arn  = var.repository_arn
    })
  }
  people = { registrar = var.registrar_principals, provider = var.provider_principals }
  # What ECS does for the worker (`execution`), and what the worker does itself.
  tasks = toset(["execution", "worker"])
}

resource "aws_iam_role" "people" {
  for_each = local.people
  name     = "${var.name}-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = each.value }
    }]
  })
  # A pre-signed URL ends with the session that signed it.
  max_session_duration = 14400
}

resource "aws_iam_role" "tasks" {
  for_each = local.tasks
  name     = "${var.name}-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = merge(aws_iam_role.people, aws_iam_role.tasks)
  name     = each.key
  role     = each.value.id
  policy   = local.policies[each.key]
}
