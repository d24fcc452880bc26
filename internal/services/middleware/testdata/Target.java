import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryMXBean;
import java.lang.reflect.Proxy;
import java.net.InetSocketAddress;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.sql.ResultSet;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import org.jolokia.backend.BackendManager;
import org.jolokia.config.ConfigKey;
import org.jolokia.config.Configuration;
import org.jolokia.http.HttpRequestHandler;
import org.jolokia.util.LogHandler;

/**
 * A JVM that answers by Jolokia's engine at /jolokia, fills its heap at /fill and its classes' memory at /classes (for two seconds each
 * time), and uses every core from /burn on.
 */
public class Target {
  static final List<byte[]> kept = new ArrayList<>();
  static final List<Object> loaders = new ArrayList<>();

  public static void main(String[] args) throws Exception {
    LogHandler log = new LogHandler() {
      public void debug(String message) {}
      public void info(String message) {}
      public void error(String message, Throwable cause) { System.err.println(message + " " + cause); }
    };
    Configuration config = new Configuration(ConfigKey.AGENT_ID, "target");
    HttpRequestHandler jolokia = new HttpRequestHandler(config, new BackendManager(config, log), log);
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
    server.setExecutor(Executors.newFixedThreadPool(2));
    server.createContext("/jolokia", x -> {
      String answer;
      try {
        answer = jolokia.handlePostRequest(x.getRequestURI().toString(), x.getRequestBody(), "UTF-8", Map.of()).toJSONString();
      } catch (Throwable t) {
        answer = jolokia.handleThrowable(t).toJSONString();
      }
      send(x, answer);
    });
    server.createContext("/fill", x -> {
      Runtime r = Runtime.getRuntime();
      for (int i = 0; i < 1000 && r.totalMemory() - r.freeMemory() < r.maxMemory() / 100 * 88; i++) kept.add(new byte[1 << 18]);
      send(x, "ok");
    });
    server.createContext("/classes", x -> {
      MemoryMXBean memory = ManagementFactory.getMemoryMXBean();
      try {
        for (long end = System.nanoTime() + 2_000_000_000L; System.nanoTime() < end && memory.getNonHeapMemoryUsage().getUsed() < memory.getNonHeapMemoryUsage().getMax() / 100 * 88;)
          loaders.add(Proxy.newProxyInstance(new URLClassLoader(new URL[0], ResultSet.class.getClassLoader()), new Class<?>[] {ResultSet.class},
              (proxy, method, arguments) -> null).getClass());
      } catch (OutOfMemoryError e) {
        System.err.println(e);
      }
      send(x, "ok");
    });
    server.createContext("/burn", x -> {
      for (int i = 0; i < 4 * Runtime.getRuntime().availableProcessors(); i++) {
        Thread t = new Thread(() -> { double y = 0; while (true) y += Math.sqrt(y + 1); });
        t.setDaemon(true);
        t.start();
      }
      send(x, "ok");
    });
    server.start();
  }

  static void send(HttpExchange x, String answer) throws IOException {
    byte[] bytes = answer.getBytes(StandardCharsets.UTF_8);
    x.sendResponseHeaders(200, bytes.length);
    x.getResponseBody().write(bytes);
    x.close();
  }
}
