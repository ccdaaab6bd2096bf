"""The record's OTLP forms: protobuf and OTLP/JSON, both ways, and the text form of a value.

    encode_logs_data(records)        bytes of LogsData, which on the wire is ExportLogsServiceRequest
    decode_logs_data(data)           records
    encode_logs_data_json(records)   one line of OTLP/JSON, without the newline
    decode_logs_data_json(line)      records

Encoders raise `ValueError` naming the field or attribute for what OTLP cannot carry, such as an integer
beyond 64 bits; `clean_record` makes such a record fit. Text that is not Unicode never fails: it is sent as
`clean_text` shows it. Decoders raise `OtlpDecodeError`. Nothing here keeps a reference to a record.
"""

from otel_fim.otlp.anyvalue import to_text
from otel_fim.otlp.errors import OtlpDecodeError
from otel_fim.otlp.json_decode import decode_logs_data_json
from otel_fim.otlp.json_encode import encode_logs_data_json
from otel_fim.otlp.protobuf_decode import decode_logs_data
from otel_fim.otlp.protobuf_encode import encode_logs_data
from otel_fim.otlp.text import clean_record, clean_text

__all__ = [
    "OtlpDecodeError",
    "clean_record",
    "clean_text",
    "decode_logs_data",
    "decode_logs_data_json",
    "encode_logs_data",
    "encode_logs_data_json",
    "to_text",
]
