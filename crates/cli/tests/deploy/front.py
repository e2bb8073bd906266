"""An S3 for pre-signed URLs before a moto that authorises, which answers 500 to those.

    front.py PORT ENDPOINT KEYS

It asks moto for the object of such a URL as whoever signed it, so that moto judges that role's rights; the signature itself is
not looked at, which SeaweedFS does in other tests. All else goes to moto as it is. KEYS is what policies.py prints last.
"""

import http.client
import http.server
import json
import sys
import urllib.parse

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PORT, ENDPOINT, KEYS = int(sys.argv[1]), sys.argv[2], dict(json.loads(sys.argv[3]).values())
HOST = urllib.parse.urlsplit(ENDPOINT).netloc


def s3(access_key, region):
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0})
    return boto3.client("s3", endpoint_url=ENDPOINT, region_name=region, config=config, aws_access_key_id=access_key,
                        aws_secret_access_key=KEYS[access_key])


class Front(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def signed(self, url):
        access_key, _, region, *_ = urllib.parse.parse_qs(url.query)["X-Amz-Credential"][0].split("/")
        bucket, key = urllib.parse.unquote(url.path).lstrip("/").split("/", 1)
        named = {"Range": self.headers.get("Range"), "IfMatch": self.headers.get("If-Match")}
        try:
            got = s3(access_key, region).get_object(Bucket=bucket, Key=key, **{n: v for n, v in named.items() if v})
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return self.answer(status, [("Content-Length", "0")], b"")
        meta = got["ResponseMetadata"]
        self.answer(meta["HTTPStatusCode"], meta["HTTPHeaders"].items(), got["Body"].read())

    def passed(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        moto = http.client.HTTPConnection(HOST)
        moto.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        # The name that was signed.
        for name, value in self.headers.items():
            moto.putheader(name, value)
        moto.endheaders(body)
        got = moto.getresponse()
        self.answer(got.status, got.getheaders(), got.read())

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        self.signed(url) if self.command == "GET" and "X-Amz-Signature=" in url.query else self.passed()

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = serve


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Front).serve_forever()
