# Jobs, and the queue that tells of them.

resource "aws_dynamodb_table" "jobs" {
  name                        = "${var.name}-jobs"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "JobID"
  deletion_protection_enabled = true

  attribute {
    name = "JobID"
    type = "S"
  }
  attribute {
    name = "Queue"
    type = "S"
  }
  attribute {
    name = "DueAt"
    type = "N"
  }

  # Unsettled jobs by the moment at which somebody may claim them.
  global_secondary_index {
    name            = "due"
    hash_key        = "Queue"
    range_key       = "DueAt"
    projection_type = "KEYS_ONLY"
  }

  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled = true
  }
}

resource "aws_sqs_queue" "jobs" {
  name                      = "${var.name}-jobs"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  # A worker's lease (`worker --lease`, 60 s) and a margin: the worker extends it with each heartbeat.
  visibility_timeout_seconds = 90
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    # Above the attempts of a job (5) with the looks at it in between, so that the ledger gives up first.
    maxReceiveCount = 20
  })
}

# Messages that no worker could do anything with: they name no job, or a job that nobody settles.
resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-jobs-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.jobs.arn]
  })
}

resource "aws_sqs_queue_policy" "this" {
  for_each  = { jobs = aws_sqs_queue.jobs, dead = aws_sqs_queue.dead }
  queue_url = each.value.id
  policy    = templatefile("${path.module}/policies/queue.json", { queue_arn = each.value.arn })
}
