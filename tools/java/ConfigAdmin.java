import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.protocol.Errors;

/**
 * Alters and describes configs of a running cluster with Apache Kafka's Admin client, one JSON
 * question a line on standard input, one JSON answer a line:
 * {"create": {"topic", "configs"}}, {"alter": {"type", "name", "ops": [[config, op, value]..]}},
 * {"describe": {"type", "name"}}. An answer is {"error": code} or {"entries": [..]}.
 * Run with {@code java -cp 'libs/*' ConfigAdmin.java HOST:PORT}.
 */
public final class ConfigAdmin {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                System.out.println(JSON.writeValueAsString(answer(admin, JSON.readTree(line))));
            }
        }
    }

    private static Map<String, Object> answer(Admin admin, JsonNode question) throws Exception {
        Map<String, Object> answer = new HashMap<>();
        try {
            if (question.has("create")) answer.put("entries", create(admin, question.get("create")));
            if (question.has("alter")) alter(admin, question.get("alter"));
            if (question.has("describe")) answer.put("entries", describe(admin, question.get("describe")));
            answer.put("error", 0);
        } catch (ExecutionException e) {
            answer.put("error", Errors.forException(e.getCause()).code());
            answer.put("message", e.getCause().getMessage());
        }
        return answer;
    }

    private static List<Object> create(Admin admin, JsonNode asked) throws Exception {
        Map<String, String> configs = new HashMap<>();
        asked.get("configs").properties().forEach(e -> configs.put(e.getKey(), e.getValue().asText()));
        String name = asked.get("topic").asText();
        NewTopic topic = new NewTopic(name, Optional.of(1), Optional.empty()).configs(configs);
        return rows(admin.createTopics(List.of(topic)).config(name).get().entries());
    }

    private static void alter(Admin admin, JsonNode asked) throws Exception {
        List<AlterConfigOp> ops = new ArrayList<>();
        for (JsonNode op : asked.get("ops")) {
            String value = op.get(2).isNull() ? null : op.get(2).asText();
            AlterConfigOp.OpType type = AlterConfigOp.OpType.forId((byte) op.get(1).asInt());
            ops.add(new AlterConfigOp(new ConfigEntry(op.get(0).asText(), value), type));
        }
        admin.incrementalAlterConfigs(Map.of(resource(asked), ops)).all().get();
    }

    private static List<Object> describe(Admin admin, JsonNode asked) throws Exception {
        ConfigResource resource = resource(asked);
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true);
        return rows(admin.describeConfigs(List.of(resource), options).all().get().get(resource).entries());
    }

    private static List<Object> rows(Collection<ConfigEntry> entries) {
        Map<String, Object> sorted = new TreeMap<>();
        for (ConfigEntry entry : entries) {
            List<Object> synonyms = new ArrayList<>();
            entry.synonyms().forEach(s -> {
                List<Object> synonym = new ArrayList<>();
                synonym.add(s.name());
                synonym.add(s.value());
                synonym.add(s.source().toString());
                synonyms.add(synonym);
            });
            List<Object> row = new ArrayList<>();
            row.add(entry.name());
            row.add(entry.value());
            row.add(entry.source().toString());
            row.add(entry.type() == null ? "UNKNOWN" : entry.type().toString());
            row.add(entry.isSensitive());
            row.add(entry.isReadOnly());
            row.add(synonyms);
            sorted.put(entry.name(), row);
        }
        return new ArrayList<>(sorted.values());
    }

    private static ConfigResource resource(JsonNode asked) {
        return new ConfigResource(ConfigResource.Type.valueOf(asked.get("type").asText()), asked.get("name").asText());
    }

    private ConfigAdmin() { }
}
