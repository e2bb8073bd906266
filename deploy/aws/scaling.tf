# As many workers as there are jobs for. A worker that is ended gives its jobs back, so that less is as safe as more.

resource "aws_appautoscaling_target" "workers" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.worker.name}"
  min_capacity       = var.workers_min
  max_capacity       = var.workers_max
}

resource "aws_appautoscaling_policy" "depth" {
  name               = "${var.name}-queue-depth"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.workers.service_namespace
  scalable_dimension = aws_appautoscaling_target.workers.scalable_dimension
  resource_id        = aws_appautoscaling_target.workers.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 120

    # Nothing to do, one worker's share of jobs, four times as much, and more than that.
    step_adjustment {
      metric_interval_upper_bound = 1
      scaling_adjustment          = var.workers_min
    }
    step_adjustment {
      metric_interval_lower_bound = 1
      metric_interval_upper_bound = var.jobs_per_worker
      scaling_adjustment          = max(1, var.workers_min)
    }
    step_adjustment {
      metric_interval_lower_bound = var.jobs_per_worker
      metric_interval_upper_bound = 4 * var.jobs_per_worker
      scaling_adjustment          = min(var.workers_max, max(4, var.workers_min))
    }
    step_adjustment {
      metric_interval_lower_bound = 4 * var.jobs_per_worker
      scaling_adjustment          = var.workers_max
    }
  }
}

# Always in alarm: an action for steps is asked every minute then, and takes the step of the present depth.
resource "aws_cloudwatch_metric_alarm" "depth" {
  alarm_name          = "${var.name}-queue-depth"
  alarm_description   = "Drives the number of workers. That it is in alarm means nothing."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.depth.arn]

  metric_query {
    id          = "depth"
    expression  = "waiting + taken"
    label       = "Jobs that wait or are worked on"
    return_data = true
  }
  dynamic "metric_query" {
    for_each = {
      waiting = "ApproximateNumberOfMessagesVisible"
      taken   = "ApproximateNumberOfMessagesNotVisible"
    }
    content {
      id = metric_query.key
      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value
        dimensions  = { QueueName = aws_sqs_queue.jobs.name }
        period      = 60
        stat        = "Maximum"
      }
    }
  }
}
