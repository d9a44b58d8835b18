import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.Scanner;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordHelpers;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.OffsetAndMetadata;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupCurrentMemberAssignmentKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupCurrentMemberAssignmentValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMetadataKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMetadataValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupRegularExpressionKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupRegularExpressionValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMetadataKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMetadataValue;
import org.apache.kafka.coordinator.group.generated.OffsetCommitKey;
import org.apache.kafka.coordinator.group.generated.OffsetCommitValue;
import org.apache.kafka.coordinator.group.modern.Assignment;
import org.apache.kafka.coordinator.group.modern.consumer.ConsumerGroupMember;
import org.apache.kafka.coordinator.group.modern.consumer.ResolvedRegularExpression;
import org.apache.kafka.coordinator.transaction.TransactionCoordinatorRecordSerde;
import org.apache.kafka.coordinator.transaction.TransactionLog;
import org.apache.kafka.server.common.TransactionVersion;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Coordinators' records as Kafka reads and writes them: one JSON object per line in, one out.
 *
 * <pre>
 * {"of": "groups", "key": HEX, "value": HEX or null}
 *      -> {"again": {"key": HEX, "value": HEX}: read and written by Kafka's serde,
 *          "written": the same from what Kafka's state makes of it, where that is a matter of one record}
 * {"of": "transactions", "version": transaction.version, "key": HEX, "value": HEX}
 *      -> the same
 * </pre>
 */
public final class CoordinatorTruth {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final HexFormat HEX = HexFormat.of();
    private static final Logger LOG = LoggerFactory.getLogger(CoordinatorTruth.class);

    public static void main(String[] arguments) throws Exception {
        try (Scanner lines = new Scanner(System.in)) {
            while (lines.hasNextLine()) {
                JsonNode asked = JSON.readTree(lines.nextLine());
                System.out.println(JSON.writeValueAsString(answer(asked)));
            }
        }
    }

    private static ObjectNode answer(JsonNode asked) {
        byte[] key = HEX.parseHex(asked.get("key").asText());
        byte[] value = asked.get("value").isNull() ? null : HEX.parseHex(asked.get("value").asText());
        boolean groups = asked.get("of").asText().equals("groups");
        CoordinatorRecordSerde serde =
            groups ? new GroupCoordinatorRecordSerde() : new TransactionCoordinatorRecordSerde();
        CoordinatorRecord record =
            serde.deserialize(ByteBuffer.wrap(key), value == null ? null : ByteBuffer.wrap(value));
        ObjectNode answer = JSON.createObjectNode();
        put(answer.putObject("again"), serde.serializeKey(record), serde.serializeValue(record));
        if (groups) {
            CoordinatorRecord written = written(record);
            if (written != null) {
                put(answer.putObject("written"), serde.serializeKey(written), serde.serializeValue(written));
            }
        } else if (value != null) {
            var read = (TransactionLog.TxnRecord) TransactionLog.read(ByteBuffer.wrap(key), ByteBuffer.wrap(value));
            TransactionVersion version =
                TransactionVersion.fromFeatureLevel((short) asked.get("version").asInt());
            put(answer.putObject("written"), TransactionLog.keyToBytes(read.transactionId()),
                TransactionLog.valueToBytes(read.metadata().prepareNoTransit(), version));
        }
        return answer;
    }

    private static void put(ObjectNode into, byte[] key, byte[] value) {
        into.put("key", HEX.formatHex(key));
        into.put("value", value == null ? null : HEX.formatHex(value));
    }

    /** What Kafka writes of the state that it reads from a record; null when it takes more than one. */
    private static CoordinatorRecord written(CoordinatorRecord record) {
        ApiMessage key = record.key();
        if (record.value() == null) {
            return tombstone(key);
        }
        ApiMessage value = record.value().message();
        if (key instanceof ConsumerGroupMetadataKey k) {
            var v = (ConsumerGroupMetadataValue) value;
            return GroupCoordinatorRecordHelpers.newConsumerGroupEpochRecord(
                k.groupId(), v.epoch(), v.metadataHash());
        } else if (key instanceof ConsumerGroupMemberMetadataKey k) {
            return GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionRecord(k.groupId(),
                new ConsumerGroupMember.Builder(k.memberId())
                    .updateWith((ConsumerGroupMemberMetadataValue) value).build());
        } else if (key instanceof ConsumerGroupTargetAssignmentMetadataKey k) {
            var v = (ConsumerGroupTargetAssignmentMetadataValue) value;
            return GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentMetadataRecord(
                k.groupId(), v.assignmentEpoch(), v.assignmentTimestamp());
        } else if (key instanceof ConsumerGroupTargetAssignmentMemberKey k) {
            return GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentRecord(k.groupId(),
                k.memberId(),
                Assignment.fromRecord((ConsumerGroupTargetAssignmentMemberValue) value).partitions());
        } else if (key instanceof ConsumerGroupCurrentMemberAssignmentKey k) {
            return GroupCoordinatorRecordHelpers.newConsumerGroupCurrentAssignmentRecord(k.groupId(),
                new ConsumerGroupMember.Builder(k.memberId())
                    .updateWith(LOG, k.groupId(), (ConsumerGroupCurrentMemberAssignmentValue) value).build());
        } else if (key instanceof ConsumerGroupRegularExpressionKey k) {
            var v = (ConsumerGroupRegularExpressionValue) value;
            return GroupCoordinatorRecordHelpers.newConsumerGroupRegularExpressionRecord(k.groupId(),
                k.regularExpression(),
                new ResolvedRegularExpression(Set.copyOf(v.topics()), v.version(), v.timestamp()));
        } else if (key instanceof OffsetCommitKey k) {
            return GroupCoordinatorRecordHelpers.newOffsetCommitRecord(k.group(), k.topic(), k.partition(),
                OffsetAndMetadata.fromRecord(0, (OffsetCommitValue) value));
        }
        return null;
    }

    private static CoordinatorRecord tombstone(ApiMessage key) {
        if (key instanceof ConsumerGroupMetadataKey k) {
            return GroupCoordinatorRecordHelpers.newConsumerGroupEpochTombstoneRecord(k.groupId());
        } else if (key instanceof ConsumerGroupMemberMetadataKey k) {
            return GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionTombstoneRecord(
                k.groupId(), k.memberId());
        } else if (key instanceof ConsumerGroupTargetAssignmentMemberKey k) {
            return GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentTombstoneRecord(
                k.groupId(), k.memberId());
        } else if (key instanceof ConsumerGroupCurrentMemberAssignmentKey k) {
            return GroupCoordinatorRecordHelpers.newConsumerGroupCurrentAssignmentTombstoneRecord(
                k.groupId(), k.memberId());
        } else if (key instanceof OffsetCommitKey k) {
            return GroupCoordinatorRecordHelpers.newOffsetCommitTombstoneRecord(
                k.group(), k.topic(), k.partition());
        }
        return null;
    }
}
