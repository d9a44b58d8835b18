import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.Supplier;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.PrimitiveRef;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogValidator;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.RecordValidationException;

/**
 * What Kafka's own record code makes of records, batches and producer snapshots.
 *
 * <pre>
 * RecordsTruth build      B and R lines, then E: one hexadecimal batch per E
 * RecordsTruth dump       hexadecimal batches: H and R lines and E for each, or ! and the refusal
 * RecordsTruth check      rules and a batch: error code, number of record errors, resulting batch
 * RecordsTruth snapshot   hexadecimal snapshot: P lines, then the same written again
 * </pre>
 *
 * Words are separated by blanks. Bytes are "-" when null, else "x" and hexadecimal digits.
 */
public final class RecordsTruth {
    private static final HexFormat HEX = HexFormat.of();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private RecordsTruth() { }

    public static void main(String[] arguments) throws Exception {
        try (BufferedReader in = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            switch (arguments[0]) {
                case "build" -> build(in);
                case "dump" -> in.lines().forEach(RecordsTruth::dump);
                case "check" -> in.lines().forEach(line -> check(line.split(" ")));
                case "snapshot" -> snapshot(in.readLine());
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        }
        OUT.flush();
    }

    private static void build(BufferedReader in) throws IOException {
        MemoryRecordsBuilder builder = null;
        boolean control = false;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "B" -> {
                    builder = builder(words);
                    control = words[9].equals("1");
                }
                case "R" -> append(builder, words, control);
                case "E" -> {
                    OUT.println(HEX.formatHex(bytes(builder.build().buffer())));
                }
                default -> throw new IllegalArgumentException(line);
            }
        }
    }

    /** B magic codec level appendTime(or -) producerId epoch sequence transactional control base leaderEpoch */
    private static MemoryRecordsBuilder builder(String[] words) {
        boolean append = !words[4].equals("-");
        return MemoryRecords.builder(
            ByteBuffer.allocate(1 << 16),
            Byte.parseByte(words[1]),
            compression(Integer.parseInt(words[2]), words[3]),
            append ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
            Long.parseLong(words[10]),
            append ? Long.parseLong(words[4]) : RecordBatch.NO_TIMESTAMP,
            Long.parseLong(words[5]),
            Short.parseShort(words[6]),
            Integer.parseInt(words[7]),
            words[8].equals("1"),
            words[9].equals("1"),
            Integer.parseInt(words[11]));
    }

    private static Compression compression(int codec, String level) {
        boolean named = !level.equals("-");
        return switch (codec) {
            case 0 -> Compression.NONE;
            case 1 -> named ? Compression.gzip().level(Integer.parseInt(level)).build()
                : Compression.gzip().build();
            case 2 -> Compression.snappy().build();
            case 3 -> named ? Compression.lz4().level(Integer.parseInt(level)).build()
                : Compression.lz4().build();
            case 4 -> named ? Compression.zstd().level(Integer.parseInt(level)).build()
                : Compression.zstd().build();
            default -> throw new IllegalArgumentException("codec " + codec);
        };
    }

    /** R timestamp key value name:value,name:value (or -); a control record has its type as key. */
    private static void append(MemoryRecordsBuilder builder, String[] words, boolean control) {
        long timestamp = Long.parseLong(words[1]);
        if (control) {
            ControlRecordType type = ControlRecordType.fromTypeId(Short.parseShort(words[2]));
            builder.appendEndTxnMarker(timestamp,
                new EndTransactionMarker(type, Integer.parseInt(words[3])));
            return;
        }
        List<Header> headers = new ArrayList<>();
        if (!words[4].equals("-")) {
            for (String header : words[4].split(",")) {
                String[] parts = header.split(":");
                headers.add(new RecordHeader(
                    new String(bytes(parts[0]), StandardCharsets.UTF_8), bytes(parts[1])));
            }
        }
        byte[] key = bytes(words[2]);
        byte[] value = bytes(words[3]);
        if (headers.isEmpty()) {
            builder.append(timestamp, key, value);
        } else {
            builder.append(timestamp, key, value, headers.toArray(new Header[0]));
        }
    }

    private static void dump(String line) {
        try {
            StringBuilder text = new StringBuilder();
            MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(HEX.parseHex(line)));
            for (MutableRecordBatch batch : records.batches()) {
                batch.ensureValid();
                text.append(header(batch)).append('\n');
                for (Record record : batch) {
                    text.append(record(record)).append('\n');
                }
            }
            OUT.print(text);
        } catch (RuntimeException refusal) {
            OUT.println("! " + refusal);
        }
        OUT.println("E");
    }

    private static String header(MutableRecordBatch batch) {
        String base = "-";
        if (batch instanceof DefaultRecordBatch current) {
            base = Long.toString(current.baseTimestamp());
        }
        return String.join(" ", "H", Long.toString(batch.baseOffset()),
            Long.toString(batch.lastOffset()), Integer.toString(batch.sizeInBytes()),
            Integer.toString(batch.partitionLeaderEpoch()), Byte.toString(batch.magic()),
            Integer.toString(batch.compressionType().id), base,
            Long.toString(batch.maxTimestamp()), Long.toString(batch.producerId()),
            Short.toString(batch.producerEpoch()), Integer.toString(batch.baseSequence()),
            Integer.toString(batch.lastSequence()), String.valueOf(batch.countOrNull()),
            batch.isTransactional() ? "1" : "0", batch.isControlBatch() ? "1" : "0",
            batch.timestampType() == TimestampType.LOG_APPEND_TIME ? "1" : "0");
    }

    private static String record(Record record) {
        StringBuilder text = new StringBuilder("R ").append(record.offset()).append(' ')
            .append(record.timestamp()).append(' ').append(hex(record.key())).append(' ')
            .append(hex(record.value())).append(' ');
        if (record.headers().length == 0) {
            return text.append('-').toString();
        }
        String comma = "";
        for (Header header : record.headers()) {
            text.append(comma).append(hex(ByteBuffer.wrap(
                header.key().getBytes(StandardCharsets.UTF_8)))).append(':')
                .append(hex(header.value() == null ? null : ByteBuffer.wrap(header.value())));
            comma = ",";
        }
        return text.toString();
    }

    /** version now append(0/1) before after codec(or -1) level compacted(0/1) batch */
    private static void check(String[] words) {
        long now = Long.parseLong(words[1]);
        Time time = new StandingClock(now);
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes(words[8])));
        try {
            ProduceRequest.validateRecords(Short.parseShort(words[0]), records);
            MutableRecordBatch first = records.batches().iterator().next();
            int wanted = Integer.parseInt(words[5]);
            CompressionType source = first.compressionType();
            LogValidator validator = new LogValidator(records, new TopicPartition("t", 0), time,
                source, compression(wanted < 0 ? source.id : wanted, words[6]),
                words[7].equals("1"), RecordBatch.MAGIC_VALUE_V2,
                words[2].equals("1") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
                Long.parseLong(words[3]), Long.parseLong(words[4]), 7, AppendOrigin.CLIENT);
            LogValidator.ValidationResult result = validator.validateMessagesAndAssignOffsets(
                PrimitiveRef.ofLong(0), new Uncounted(), BufferSupplier.NO_CACHING);
            OUT.println("0 0 x" + HEX.formatHex(bytes(result.validatedRecords().buffer())));
        } catch (RecordValidationException refusal) {
            OUT.println(Errors.forException(refusal.invalidException()).code() + " "
                + refusal.recordErrors().size() + " -");
        } catch (RuntimeException refusal) {
            OUT.println(Errors.forException(refusal).code() + " 0 -");
        }
    }

    private static void snapshot(String line) throws IOException {
        File file = File.createTempFile("truth", ".snapshot");
        try {
            Files.write(file.toPath(), HEX.parseHex(line));
            Map<Long, ProducerStateEntry> entries = new LinkedHashMap<>();
            for (ProducerStateEntry entry : ProducerStateManager.readSnapshot(file)) {
                entries.put(entry.producerId(), entry);
                OUT.println(entry(entry));
            }
            Files.write(file.toPath(), new byte[0]);
            ProducerStateManager.writeSnapshot(file, entries, false);
            OUT.println(HEX.formatHex(Files.readAllBytes(file.toPath())));
        } finally {
            Files.delete(file.toPath());
        }
    }

    private static String entry(ProducerStateEntry entry) {
        OptionalLong open = entry.currentTxnFirstOffset();
        Iterator<?> batches = entry.batchMetadata().iterator();
        return String.join(" ", "P", Long.toString(entry.producerId()),
            Short.toString(entry.producerEpoch()), Integer.toString(entry.coordinatorEpoch()),
            Long.toString(entry.lastTimestamp()), Long.toString(open.orElse(-1)),
            Long.toString(entry.firstDataOffset()), Long.toString(entry.lastDataOffset()),
            batches.hasNext() ? batches.next().toString().replace(" ", "") : "-");
    }

    private static String hex(ByteBuffer buffer) {
        return buffer == null ? "-" : "x" + HEX.formatHex(bytes(buffer));
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    private static byte[] bytes(String word) {
        return word.equals("-") ? null : HEX.parseHex(word.substring(1));
    }

    /** A clock that stands at the time the test names. */
    private record StandingClock(long now) implements Time {
        @Override
        public long milliseconds() {
            return now;
        }

        @Override
        public long nanoseconds() {
            return 0;
        }

        @Override
        public void sleep(long ms) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void waitObject(Object object, Supplier<Boolean> condition, long deadlineMs) {
            throw new UnsupportedOperationException();
        }
    }

    /** LogValidator wants to count what it refuses. */
    private static final class Uncounted implements LogValidator.MetricsRecorder {
        @Override
        public void recordInvalidMagic() { }

        @Override
        public void recordInvalidOffset() { }

        @Override
        public void recordInvalidSequence() { }

        @Override
        public void recordInvalidChecksums() { }

        @Override
        public void recordNoKeyCompactedTopic() { }
    }
}
