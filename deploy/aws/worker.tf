# The workers: containers that nobody can connect to.

resource "aws_cloudwatch_log_group" "worker" {
  name              = "/${var.name}/worker"
  retention_in_days = var.log_days
}

resource "aws_security_group" "worker" {
  name        = "${var.name}-worker"
  description = "Out to HTTPS, and nothing in"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.worker.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

locals {
  task = jsondecode(templatefile("${path.module}/worker-task.json", {
    name               = var.name
    region             = var.region
    image              = var.image
    cpu                = var.cpu
    memory             = var.memory
    execution_role_arn = aws_iam_role.tasks["execution"].arn
    worker_role_arn    = aws_iam_role.tasks["worker"].arn
    output_bucket      = aws_s3_bucket.this["output"].id
    input_url          = "https://${aws_s3_bucket.this["input"].bucket_regional_domain_name}/"
    table              = aws_dynamodb_table.jobs.name
    queue_url          = aws_sqs_queue.jobs.id
    agents_prefix      = local.agents_prefix
    private_key_arn    = aws_secretsmanager_secret.private_key.arn
    log_group          = aws_cloudwatch_log_group.worker.name
  }))
}

resource "aws_ecs_task_definition" "worker" {
  family                   = local.task.family
  requires_compatibilities = local.task.requiresCompatibilities
  network_mode             = local.task.networkMode
  cpu                      = local.task.cpu
  memory                   = local.task.memory
  execution_role_arn       = local.task.executionRoleArn
  task_role_arn            = local.task.taskRoleArn
  container_definitions    = jsonencode(local.task.containerDefinitions)

  runtime_platform {
    cpu_architecture        = local.task.runtimePlatform.cpuArchitecture
    operating_system_family = local.task.runtimePlatform.operatingSystemFamily
  }
  ephemeral_storage {
    size_in_gib = local.task.ephemeralStorage.sizeInGiB
  }
  dynamic "volume" {
    for_each = local.task.volumes
    content {
      name = volume.value.name
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name
}

resource "aws_ecs_service" "worker" {
  name            = "worker"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.worker.arn
  desired_count   = var.workers_min
  launch_type     = "FARGATE"

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [aws_security_group.worker.id]
  }
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  # Scaling sets it.
  lifecycle {
    ignore_changes = [desired_count]
  }
  # A worker that starts before it may do anything ends at once.
  depends_on = [aws_iam_role_policy.this]
}
