import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Scanner;
import java.util.Set;
import java.util.TreeSet;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataDelta;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage;
import org.apache.kafka.coordinator.group.Utils;
import org.apache.kafka.coordinator.group.api.assignor.ConsumerGroupPartitionAssignor;
import org.apache.kafka.coordinator.group.api.assignor.GroupAssignment;
import org.apache.kafka.coordinator.group.api.assignor.SubscribedTopicDescriber;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;
import org.apache.kafka.coordinator.group.modern.Assignment;
import org.apache.kafka.coordinator.group.modern.GroupSpecImpl;
import org.apache.kafka.coordinator.group.modern.MemberSubscriptionAndAssignmentImpl;

/**
 * What Kafka's own classes make of consumer groups: one JSON object per line in, one out.
 *
 * <pre>
 * {"assignor": "uniform", "alike": true, "topics": {"ID": 6}, "members": [
 *    {"id": "m", "instance": null, "topics": ["ID"], "target": {"ID": [0, 1]}}]}
 *      -> {"order": [topics of the first member, in the order of Kafka's set],
 *          "members": {"m": {"ID": [0, 1]}}}
 * {"topics": [{"id": "ID", "name": "t", "racks": [["r"], []]}]}
 *      -> {"hash": the hash of a group that reads all of them}
 * </pre>
 */
public final class ConsumerGroupTruth {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        try (Scanner lines = new Scanner(System.in)) {
            while (lines.hasNextLine()) {
                JsonNode asked = JSON.readTree(lines.nextLine());
                ObjectNode answer = asked.has("assignor") ? assign(asked) : hash(asked);
                System.out.println(JSON.writeValueAsString(answer));
            }
        }
    }

    private static ObjectNode assign(JsonNode asked) {
        Map<Uuid, Integer> counts = new HashMap<>();
        asked.get("topics").properties().forEach(each ->
            counts.put(Uuid.fromString(each.getKey()), each.getValue().asInt()));
        Map<String, MemberSubscriptionAndAssignmentImpl> members = new LinkedHashMap<>();
        Map<Uuid, Map<Integer, String>> inverted = new HashMap<>();
        ObjectNode answer = JSON.createObjectNode();
        for (JsonNode member : asked.get("members")) {
            // A hash set, as in Kafka's own builder; what it iterates is told to whoever compares.
            Set<Uuid> topics = new HashSet<>();
            member.get("topics").forEach(each -> topics.add(Uuid.fromString(each.asText())));
            Map<Uuid, Set<Integer>> target = new LinkedHashMap<>();
            member.get("target").properties().forEach(each -> {
                Uuid topic = Uuid.fromString(each.getKey());
                Set<Integer> parts = new TreeSet<>();
                each.getValue().forEach(part -> parts.add(part.asInt()));
                target.put(topic, parts);
                parts.forEach(part -> inverted.computeIfAbsent(topic, __ -> new HashMap<>())
                    .put(part, member.get("id").asText()));
            });
            members.put(member.get("id").asText(), new MemberSubscriptionAndAssignmentImpl(
                Optional.empty(),
                Optional.ofNullable(member.get("instance").textValue()),
                topics,
                new Assignment(Collections.unmodifiableMap(target))));
            if (!answer.has("order")) {
                var order = answer.putArray("order");
                new HashSet<>(topics).forEach(each -> order.add(each.toString()));
            }
        }
        ConsumerGroupPartitionAssignor assignor =
            asked.get("assignor").asText().equals("range") ? new RangeAssignor() : new UniformAssignor();
        SubscriptionType type = asked.get("alike").asBoolean()
            ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS;
        GroupAssignment result = assignor.assign(
            new GroupSpecImpl(members, type, inverted), new Describer(counts));
        ObjectNode out = answer.putObject("members");
        result.members().forEach((id, assignment) -> {
            ObjectNode topics = out.putObject(id);
            assignment.partitions().forEach((topic, parts) -> {
                var list = topics.putArray(topic.toString());
                new TreeSet<>(parts).forEach(list::add);
            });
        });
        return answer;
    }

    private record Describer(Map<Uuid, Integer> counts) implements SubscribedTopicDescriber {
        @Override
        public int numPartitions(Uuid topic) {
            return counts.getOrDefault(topic, -1);
        }

        @Override
        public Set<String> racksForPartition(Uuid topic, int partition) {
            return Set.of();
        }
    }

    private static ObjectNode hash(JsonNode asked) {
        Map<String, Long> hashes = new HashMap<>();
        for (JsonNode each : asked.get("topics")) {
            Image image = new Image(new Topic(each));
            hashes.put(image.topic.name(), Utils.computeTopicHash(image.topic.name(), image));
        }
        ObjectNode answer = JSON.createObjectNode();
        answer.put("hash", Utils.computeGroupHash(hashes));
        return answer;
    }

    private record Topic(JsonNode json) implements CoordinatorMetadataImage.TopicMetadata {
        @Override
        public String name() {
            return json.get("name").asText();
        }

        @Override
        public Uuid id() {
            return Uuid.fromString(json.get("id").asText());
        }

        @Override
        public int partitionCount() {
            return json.get("racks").size();
        }

        @Override
        public List<String> partitionRacks(int partition) {
            List<String> racks = new ArrayList<>();
            json.get("racks").get(partition).forEach(each -> racks.add(each.asText()));
            return racks;
        }
    }

    private record Image(Topic topic) implements CoordinatorMetadataImage {
        @Override
        public Set<Uuid> topicIds() {
            return Set.of(topic.id());
        }

        @Override
        public Set<String> topicNames() {
            return Set.of(topic.name());
        }

        @Override
        public Optional<TopicMetadata> topicMetadata(String name) {
            return Optional.of(topic);
        }

        @Override
        public Optional<TopicMetadata> topicMetadata(Uuid id) {
            return Optional.of(topic);
        }

        @Override
        public CoordinatorMetadataDelta emptyDelta() {
            return CoordinatorMetadataDelta.EMPTY;
        }

        @Override
        public long version() {
            return 1;
        }

        @Override
        public boolean isEmpty() {
            return false;
        }
    }
}
