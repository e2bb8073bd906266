"""Tries the policies of deploy/aws on moto with authorisation on: each role's calls pass, everybody else's are denied.

    policies.py ENDPOINT POLICIES

moto knows the resources of S3 and SQS requests only, and denies every statement about a resource elsewhere. So DynamoDB and
Secrets Manager are asked with `*` in place of the statements' resources, and what the policies say of resources is looked up
here besides.
"""

import fnmatch
import json
import pathlib
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

REGION, ACCOUNT = "eu-central-1", "123456789012"
INPUT, OUTPUT, OTHER_BUCKET = "waxwing-input", "waxwing-output", "somebody-elses"
TABLE, OTHER_TABLE = "waxwing-jobs", "somebody-elses"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
NAMES = {
    "agents_arn": SECRET + "waxwing/agents/",
    "private_key_arn": SECRET + "waxwing/worker/private-key-AbCdEf",
    "input_arn": f"arn:aws:s3:::{INPUT}",
    "output_arn": f"arn:aws:s3:::{OUTPUT}",
    "table_arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}",
    "queue_arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:waxwing-jobs",
}
ROLES = ["registrar", "provider", "worker"]
DENIED = {"AccessDenied", "AccessDeniedException", "403"}
AGENT, PRIVATE = "waxwing/agents/acme", "waxwing/worker/private-key"
# Whose resources moto compares.
COMPARED = ("s3:", "sqs:")


def client(endpoint, service, key=("setup", "setup")):
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0})
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, config=config,
                        aws_access_key_id=key[0], aws_secret_access_key=key[1])


def policy(folder, role):
    text = (folder / f"{role}.json").read_text()
    for name, arn in NAMES.items():
        text = text.replace("${%s}" % name, arn)
    assert "${" not in text, f"{role}.json has a name that is not known here"
    return json.loads(text)["Statement"]


def listed(value):
    return value if isinstance(value, list) else [value]


def allows(statements, action, resource):
    """What the policy says by itself. The files have neither conditions nor denials, which the caller checks."""
    return any(
        action in listed(s["Action"]) and any(fnmatch.fnmatchcase(resource, r) for r in listed(s["Resource"]))
        for s in statements
    )


def calls(c, queue_url, other_queue_url):
    """(who may, actions, resource, call). The calls are those of crates/aws; none of them changes what others need."""
    agent, other_agent = NAMES["agents_arn"] + "acme-AbCdEf", SECRET + "somebody/elses-AbCdEf"
    private, table, queue = NAMES["private_key_arn"], NAMES["table_arn"], NAMES["queue_arn"]
    item = {"JobID": {"S": "job-1"}}
    update = dict(Key=item, UpdateExpression="SET Revision = :r", ExpressionAttributeValues={":r": {"N": "2"}})

    def put(bucket):
        return lambda: c["s3"].put_object(Bucket=bucket, Key="data/x", Body=b"1", ServerSideEncryption="AES256")

    def parts(bucket):
        def run():
            s3, at = c["s3"], dict(Bucket=bucket, Key="data/y")
            upload = s3.create_multipart_upload(**at)["UploadId"]
            etag = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
            done = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
            s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=done)
        return run

    def abort(bucket):
        def run():
            upload = c["setup"]("s3").create_multipart_upload(Bucket=bucket, Key="data/z")["UploadId"]
            c["s3"].abort_multipart_upload(Bucket=bucket, Key="data/z", UploadId=upload)
        return run

    def message():
        c["setup"]("sqs").send_message(QueueUrl=queue_url, MessageBody="job-1")
        got = c["setup"]("sqs").receive_message(QueueUrl=queue_url)["Messages"][0]["ReceiptHandle"]
        return dict(QueueUrl=queue_url, ReceiptHandle=got)

    def secret(name):
        return lambda: c["secretsmanager"].get_secret_value(SecretId=name)

    sm, db, s3, sqs = c["secretsmanager"], c["dynamodb"], c["s3"], c["sqs"]
    everybody, nobody = set(ROLES), set()
    registrar, provider, worker = {"registrar"}, {"provider"}, {"worker"}
    return [
        (registrar, "secretsmanager:CreateSecret", agent, lambda: sm.create_secret(Name="waxwing/agents/new" + c["role"], SecretString="pem")),
        (registrar, "secretsmanager:PutSecretValue", agent, lambda: sm.put_secret_value(SecretId=AGENT, SecretString="pem")),
        (registrar, "secretsmanager:TagResource", agent, lambda: sm.tag_resource(SecretId=AGENT, Tags=[{"Key": "waxwing:state", "Value": "enabled"}])),
        (registrar, "secretsmanager:UntagResource", agent, lambda: sm.untag_resource(SecretId=AGENT, TagKeys=["waxwing:key:00"])),
        (registrar, "secretsmanager:ListSecrets", "*", lambda: sm.list_secrets()),
        (everybody, "secretsmanager:DescribeSecret", agent, lambda: sm.describe_secret(SecretId=AGENT)),
        (everybody, "secretsmanager:GetSecretValue", agent, secret(AGENT)),
        (worker, "secretsmanager:GetSecretValue", private, None),
        (nobody, "secretsmanager:GetSecretValue", other_agent, None),
        (nobody, "secretsmanager:PutSecretValue", private, None),
        (nobody, "secretsmanager:PutSecretValue", other_agent, None),
        (nobody, "secretsmanager:DeleteSecret", agent, lambda: sm.delete_secret(SecretId=AGENT)),
        (provider, "s3:PutObject", f"{NAMES['input_arn']}/data/x", put(INPUT)),
        (provider, "s3:PutObject", f"{NAMES['input_arn']}/data/y", parts(INPUT)),
        (provider, "s3:AbortMultipartUpload", f"{NAMES['input_arn']}/data/z", abort(INPUT)),
        (provider, "s3:GetObject", f"{NAMES['input_arn']}/data/a", lambda: s3.get_object(Bucket=INPUT, Key="data/a")),
        (provider, "s3:GetObject", f"{NAMES['input_arn']}/data/a", lambda: s3.head_object(Bucket=INPUT, Key="data/a")),
        (worker, "s3:PutObject", f"{NAMES['output_arn']}/data/x", put(OUTPUT)),
        (worker, "s3:PutObject", f"{NAMES['output_arn']}/data/y", parts(OUTPUT)),
        (worker, "s3:AbortMultipartUpload", f"{NAMES['output_arn']}/data/z", abort(OUTPUT)),
        (worker, "s3:GetObject", f"{NAMES['output_arn']}/data/a", lambda: s3.head_object(Bucket=OUTPUT, Key="data/a")),
        (nobody, "s3:PutObject", f"arn:aws:s3:::{OTHER_BUCKET}/data/x", put(OTHER_BUCKET)),
        (nobody, "s3:DeleteObject", f"{NAMES['input_arn']}/data/a", lambda: s3.delete_object(Bucket=INPUT, Key="data/a")),
        (nobody, "s3:DeleteObject", f"{NAMES['output_arn']}/data/a", lambda: s3.delete_object(Bucket=OUTPUT, Key="data/a")),
        (nobody, "s3:ListBucket", NAMES["output_arn"], lambda: s3.list_objects_v2(Bucket=OUTPUT)),
        (nobody, "s3:PutBucketPolicy", NAMES["output_arn"], lambda: s3.put_bucket_policy(Bucket=OUTPUT, Policy="{}")),
        (provider, "dynamodb:PutItem", table, lambda: db.put_item(TableName=TABLE, Item={"JobID": {"S": "job-" + c["role"]}}, ConditionExpression="attribute_not_exists(JobID)")),
        (provider | worker, "dynamodb:GetItem", table, lambda: db.get_item(TableName=TABLE, Key=item, ConsistentRead=True)),
        (worker, "dynamodb:BatchGetItem", table, lambda: db.batch_get_item(RequestItems={TABLE: {"Keys": [item], "ConsistentRead": True}})),
        (provider | worker, "dynamodb:UpdateItem", table, lambda: db.update_item(TableName=TABLE, **update)),
        (worker, "dynamodb:Query", table + "/index/due", lambda: db.query(TableName=TABLE, IndexName="due", KeyConditionExpression="#q = :q", ExpressionAttributeNames={"#q": "Queue"}, ExpressionAttributeValues={":q": {"S": "open"}})),
        (nobody, "dynamodb:Query", table, None),
        (nobody, "dynamodb:GetItem", table.replace(TABLE, OTHER_TABLE), None),
        (nobody, "dynamodb:Scan", table, lambda: db.scan(TableName=TABLE)),
        (nobody, "dynamodb:DeleteItem", table, lambda: db.delete_item(TableName=TABLE, Key=item)),
        (provider, "sqs:SendMessage", queue, lambda: sqs.send_message(QueueUrl=queue_url, MessageBody="job-1")),
        (worker, "sqs:ReceiveMessage", queue, lambda: sqs.receive_message(QueueUrl=queue_url)),
        (worker, "sqs:ChangeMessageVisibility", queue, lambda: sqs.change_message_visibility(**message(), VisibilityTimeout=60)),
        (worker, "sqs:DeleteMessage", queue, lambda: sqs.delete_message(**message())),
        (nobody, "sqs:SendMessage", queue.replace("waxwing", "other"), lambda: sqs.send_message(QueueUrl=other_queue_url, MessageBody="x")),
        (nobody, "sqs:PurgeQueue", queue, lambda: sqs.purge_queue(QueueUrl=queue_url)),
        (nobody, "iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/x", lambda: c["iam"].create_user(UserName="x" + c["role"])),
    ]


def attempt(call):
    """Whether it was allowed; any other error is one of this script."""
    try:
        call()
        return True
    except ClientError as error:
        if error.response["Error"]["Code"] in DENIED:
            return False
        raise


def main(endpoint, folder):
    root = client(endpoint, "iam")
    root.create_user(UserName="setup")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    root.put_user_policy(UserName="setup", PolicyName="p", PolicyDocument=json.dumps(everything))
    key = root.create_access_key(UserName="setup")["AccessKey"]
    setup = lambda service: client(endpoint, service, (key["AccessKeyId"], key["SecretAccessKey"]))

    policies, keys = {}, {}
    for role in ROLES:
        policies[role] = policy(folder, role)
        root.create_user(UserName=role)
        for s in policies[role]:
            assert s["Effect"] == "Allow" and set(s) == {"Sid", "Effect", "Action", "Resource"}, s
            assert all("*" not in action for action in listed(s["Action"])), s
        known = [dict(s, Resource=s["Resource"] if listed(s["Action"])[0].startswith(COMPARED) else "*") for s in policies[role]]
        document = json.dumps({"Version": "2012-10-17", "Statement": known})
        root.put_user_policy(UserName=role, PolicyName="p", PolicyDocument=document)
        made = root.create_access_key(UserName=role)["AccessKey"]
        keys[role] = (made["AccessKeyId"], made["SecretAccessKey"])
    for bucket in [INPUT, OUTPUT, OTHER_BUCKET]:
        where = {"LocationConstraint": REGION}
        setup("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        setup("s3").put_object(Bucket=bucket, Key="data/a", Body=b"1")
    for name in [AGENT, PRIVATE]:
        setup("secretsmanager").create_secret(Name=name, SecretString="pem")
    attributes = [("JobID", "S"), ("Queue", "S"), ("DueAt", "N")]
    setup("dynamodb").create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "JobID", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in attributes],
        GlobalSecondaryIndexes=[{"IndexName": "due", "Projection": {"ProjectionType": "KEYS_ONLY"}, "KeySchema": [
            {"AttributeName": "Queue", "KeyType": "HASH"}, {"AttributeName": "DueAt", "KeyType": "RANGE"}]}],
    )
    queue = setup("sqs").create_queue(QueueName="waxwing-jobs")["QueueUrl"]
    other = setup("sqs").create_queue(QueueName="other-jobs")["QueueUrl"]

    # From here on every request is authorised.
    on = urllib.request.Request(endpoint + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(on).close()
    wrong, asked, used = [], 0, {role: set() for role in ROLES}
    for role in ROLES:
        c = {service: client(endpoint, service, keys[role]) for service in ["s3", "dynamodb", "sqs", "secretsmanager", "iam"]}
        for who, action, resource, call in calls(c | {"setup": setup, "role": role}, queue, other):
            may = role in who
            if may:
                used[role].add(action)
            if allows(policies[role], action, resource) != may:
                wrong.append(f"{role}: the policy should {'allow' if may else 'deny'} {action} on {resource}")
            if call is not None:
                asked += 1
                if attempt(call) != may:
                    wrong.append(f"{role}: moto should {'allow' if may else 'deny'} {action} on {resource}")
        granted = {action for s in policies[role] for action in listed(s["Action"])}
        wrong += [f"{role}: nothing needs {action}" for action in sorted(granted - used[role])]
    for line in wrong:
        print(line)
    print(f"{asked} calls, {len(wrong)} wrong")
    # For whoever goes on as one of the roles, or looks at what they did.
    print(json.dumps(keys | {"setup": (key["AccessKeyId"], key["SecretAccessKey"])}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
