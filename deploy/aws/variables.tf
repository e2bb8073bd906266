variable "name" {
  description = "What everything made here is called, or begins with."
  type        = string
  default     = "waxwing"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "A small letter, then 1 to 24 small letters, digits and hyphens: it is part of buckets' names."
  }
}

variable "region" {
  description = "Where all of it is."
  type        = string
}

variable "registrar_principals" {
  description = "ARNs of those who may register agents and rotate their keys: few."
  type        = list(string)
}

variable "provider_principals" {
  description = "ARNs of those who may deliver."
  type        = list(string)
}

variable "image" {
  description = "The worker's image, by digest: REPOSITORY@sha256:..."
  type        = string
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest. A tag can be moved."
  }
}

variable "repository_arn" {
  description = "The ARN of the ECR repository that has the image."
  type        = string
}

variable "vpc_id" {
  description = "The network of the workers."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets with a way to AWS' services: a NAT gateway, or endpoints for S3, DynamoDB, SQS, Secrets Manager, ECR and CloudWatch Logs."
  type        = list(string)
}

variable "cpu" {
  description = "CPU units of a worker: 1024 are one processor, and a worker has as many jobs at once as processors."
  type        = number
  default     = 1024
}

variable "memory" {
  description = "MiB of a worker."
  type        = number
  default     = 2048
}

variable "workers_min" {
  description = "How many workers there always are."
  type        = number
  default     = 1
}

variable "workers_max" {
  description = "How many there are at most."
  type        = number
  default     = 16
}

variable "jobs_per_worker" {
  description = "How many waiting jobs call for one more worker."
  type        = number
  default     = 100
}

variable "input_days" {
  description = "After how many days a ciphertext is removed. Longer than any job takes, with its retries and new URLs."
  type        = number
  default     = 14
}

variable "log_days" {
  description = "How long the workers' logs are kept: a length that CloudWatch knows, such as 30, 90, 365."
  type        = number
  default     = 365
}

variable "alarm_topic_arn" {
  description = "The SNS topic that hears of alarms."
  type        = string
  default     = null
}
