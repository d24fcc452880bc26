import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import javax.management.Attribute;
import javax.management.AttributeList;
import javax.management.AttributeNotFoundException;
import javax.management.DynamicMBean;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanInfo;
import javax.management.ObjectName;

/** Target with the beans of a Kafka broker; Jolokia's write operation changes their values. */
public class Broker {
  static class Bean implements DynamicMBean {
    final Map<String, Object> values = new ConcurrentHashMap<>();

    Bean(Object... pairs) {
      for (int i = 0; i < pairs.length; i += 2) values.put((String) pairs[i], pairs[i + 1]);
    }

    public Object getAttribute(String name) throws AttributeNotFoundException {
      Object value = values.get(name);
      if (value == null) throw new AttributeNotFoundException(name);
      return value;
    }

    public void setAttribute(Attribute a) { values.put(a.getName(), a.getValue()); }

    public AttributeList getAttributes(String[] names) {
      AttributeList list = new AttributeList();
      for (String name : names) if (values.containsKey(name)) list.add(new Attribute(name, values.get(name)));
      return list;
    }

    public AttributeList setAttributes(AttributeList list) {
      for (Attribute a : list.asList()) setAttribute(a);
      return list;
    }

    public Object invoke(String name, Object[] arguments, String[] signature) { return null; }

    public MBeanInfo getMBeanInfo() {
      MBeanAttributeInfo[] infos = new TreeMap<>(values).entrySet().stream()
          .map(e -> new MBeanAttributeInfo(e.getKey(), e.getValue().getClass().getName(), "", true, true, false))
          .toArray(MBeanAttributeInfo[]::new);
      return new MBeanInfo(getClass().getName(), "", infos, null, null, null);
    }
  }

  static void register(String name, Object... pairs) throws Exception {
    ManagementFactory.getPlatformMBeanServer().registerMBean(new Bean(pairs), new ObjectName(name));
  }

  public static void main(String[] args) throws Exception {
    String manager = "kafka.server:type=ReplicaManager,name=";
    for (String n : List.of("UnderReplicatedPartitions", "UnderMinIsrPartitionCount", "OfflineReplicaCount")) register(manager + n, "Value", 0);
    register(manager + "PartitionCount", "Value", 36);
    register(manager + "LeaderCount", "Value", 12);
    for (String n : List.of("IsrShrinksPerSec", "IsrExpandsPerSec")) register(manager + n, "Count", 2L, "OneMinuteRate", 0.0);
    register("kafka.controller:type=KafkaController,name=ActiveControllerCount", "Value", 1);
    register("kafka.controller:type=KafkaController,name=OfflinePartitionsCount", "Value", 0);
    for (String n : List.of("MessagesInPerSec", "BytesInPerSec", "BytesOutPerSec", "FailedProduceRequestsPerSec", "FailedFetchRequestsPerSec"))
      register("kafka.server:type=BrokerTopicMetrics,name=" + n, "Count", 1_048_576L, "OneMinuteRate", 17.5, "MeanRate", 11.25);
    register("kafka.network:type=RequestChannel,name=RequestQueueSize", "Value", 0);
    register("kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent", "Count", 1L, "OneMinuteRate", 0.96875, "MeanRate", 0.9);
    register("kafka.network:type=SocketServer,name=NetworkProcessorAvgIdlePercent", "Value", 0.984375);
    for (String request : List.of("Produce", "FetchConsumer", "FetchFollower"))
      for (String n : List.of("RequestQueueTimeMs", "ResponseQueueTimeMs", "TotalTimeMs"))
        register("kafka.network:type=RequestMetrics,name=" + n + ",request=" + request,
            "Count", 100L, "Mean", 0.5, "Max", 20.0, "95thPercentile", 1.0, "99thPercentile", 1.5);
    Target.main(args);
  }
}
