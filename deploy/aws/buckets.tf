# Ciphertexts, and plaintexts.

locals {
  buckets = {
    input  = "${var.name}-input-${data.aws_caller_identity.current.account_id}-${var.region}"
    output = "${var.name}-output-${data.aws_caller_identity.current.account_id}-${var.region}"
  }
}

resource "aws_s3_bucket" "this" {
  for_each = local.buckets
  bucket   = each.value
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this
  bucket   = each.value.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each                = aws_s3_bucket.this
  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this
  bucket   = each.value.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each   = aws_s3_bucket.this
  bucket     = each.value.id
  policy     = templatefile("${path.module}/policies/bucket.json", { bucket_arn = each.value.arn })
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# Whatever is written over an output or removed stays readable for a while.
resource "aws_s3_bucket_versioning" "output" {
  bucket = aws_s3_bucket.this["output"].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "input" {
  bucket = aws_s3_bucket.this["input"].id
  rule {
    id     = "ciphertexts"
    status = "Enabled"
    filter {}
    expiration {
      days = var.input_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "output" {
  bucket = aws_s3_bucket.this["output"].id
  # What a worker uploaded before it was lost is plaintext, or a part of one.
  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }
  depends_on = [aws_s3_bucket_versioning.output]
}
