# What somebody should look at; docs/manual/runbook.md says what to do then.

locals {
  failed = { namespace = var.name, name = "JobsFailed" }
  alarms = {
    dead-letters = {
      description = "A message went to the dead letters."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.dead.name }
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
    }
    oldest-job = {
      description = "A job has waited for 15 minutes: half of the life of its URL."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = aws_sqs_queue.jobs.name }
      statistic   = "Maximum"
      threshold   = 900
      periods     = 5
    }
    failed-jobs = {
      description = "More than 10 jobs failed in 5 minutes."
      namespace   = local.failed.namespace
      metric      = local.failed.name
      dimensions  = {}
      statistic   = "Sum"
      threshold   = 10
      periods     = 5
    }
    ledger-throttled = {
      description = "DynamoDB refuses requests for their number."
      namespace   = "AWS/DynamoDB"
      metric      = "ThrottledRequests"
      dimensions  = { TableName = aws_dynamodb_table.jobs.name }
      statistic   = "Sum"
      threshold   = 1
      periods     = 5
    }
  }
}

# The workers' log has a line for every job that it settled.
resource "aws_cloudwatch_log_metric_filter" "failed" {
  name           = "${var.name}-failed-jobs"
  log_group_name = aws_cloudwatch_log_group.worker.name
  pattern        = "{ ($.fields.message = \"settled\") && ($.fields.status = \"failed\") }"
  metric_transformation {
    namespace     = local.failed.namespace
    name          = local.failed.name
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arn[*]
}
