package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.moe4j.engine.model.MixtureShape;
import org.moe4j.engine.plan.MemoryPlan;
import org.moe4j.engine.plan.RoleBytes;
import org.moe4j.engine.plan.SpeedPlan;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What {@code moe plan} prints.
 *
 * @param bytes of the file
 * @param budget of memory, if there is one
 */
record PlanText(Path model, long bytes, Optional<Long> budget, MemoryPlan plan, SpeedPlan speed) {
  private static final int LABEL = 10;
  private static final int NAME = 18;

  /** Slots of each layer that routes, or nothing if all experts are in memory. */
  private Collection<Integer> slots() {
    return plan.offload().<Collection<Integer>>map(s -> s.slots().values()).orElse(List.of());
  }

  private List<String> flags() {
    List<String> all = new ArrayList<>();
    if (plan.offload().isPresent()) {
      all.add("--memory");
      all.add(budget.map(PlanText::flag).orElse(""));
    }
    return all;
  }

  void writeTo(ObjectNode json) {
    json.put("model", model.toString()).put("file_bytes", bytes);
    budget.ifPresent(b -> json.put("memory_budget", b));
    json.put("memory_bytes", plan.total())
        .put("memory_minimum", plan.minimum())
        .put("memory_for_everything", plan.everything())
        .put("fits", plan.offload().isEmpty());
    ArrayNode roles = json.putArray("roles");
    for (RoleBytes r : plan.roles()) {
      roles
          .addObject()
          .put("role", r.role().name().toLowerCase(Locale.ROOT))
          .put("disk_bytes", r.stored())
          .put("memory_bytes", r.resident())
          .put("memory_bytes_if_all", r.packed());
    }
    json.put("context", plan.context())
        .put("kv_cache_bytes", plan.cache())
        .put("scratch_bytes", plan.scratch())
        .put("jvm_bytes", plan.machine())
        .put("staging_bytes", plan.staging());
    MixtureShape mixture = plan.shape().mixture();
    ObjectNode experts = json.putObject("experts");
    experts.put("per_layer", mixture.experts()).put("used", mixture.used());
    ArrayNode held = experts.putArray("in_memory");
    plan.storedExperts()
        .forEach(
            (layer, stored) ->
                held.addObject()
                    .put("layer", layer)
                    .put(
                        "experts",
                        plan.offload().map(s -> s.slots().get(layer)).orElse(mixture.experts()))
                    .put("bytes_on_disk_each", stored));
    json.putObject("speed")
        .put("memory_bandwidth", Math.round(speed.memoryBandwidth()))
        .put("disk_bandwidth", Math.round(speed.diskBandwidth()))
        .put("memory_bytes_per_token", speed.bytes())
        .put("experts_per_token", speed.experts())
        .put("misses_per_token", hundredths(speed.misses()))
        .put("disk_bytes_per_token", Math.round(speed.missedBytes()))
        .put("decode_tok_s_at_most", hundredths(speed.tokensPerSecond()));
    ArrayNode flags = json.putArray("flags");
    flags().forEach(flags::add);
  }

  void print(PrintWriter out) {
    TextTable table = new TextTable(LABEL);
    MixtureShape mixture = plan.shape().mixture();
    table.row(
        "model",
        String.format(
            Locale.ROOT,
            "%s, %s: %d layers%s",
            model,
            size(bytes),
            plan.shape().layers(),
            mixture.experts() == 0
                ? ""
                : String.format(
                    Locale.ROOT,
                    ", %d experts of which a token uses %d",
                    mixture.experts(),
                    mixture.used())));
    table.row("memory", memory());
    if (mixture.experts() > 0) {
      table.row("experts", experts());
    }
    table.row(
        "context",
        String.format(
            Locale.ROOT,
            "room for %,d tokens: %s of keys and values",
            plan.context(),
            size(plan.cache())));
    table.row("speed", pace());
    table.row("run with", String.join(" ", run()));
    table.print(out, 0);
    out.println();
    out.printf(Locale.ROOT, "%-" + NAME + "s %12s %12s%n", "", "on disk", "in memory");
    for (RoleBytes r : plan.roles()) {
      row(out, r.role().label(), size(r.stored()), r.resident() == 0 ? "-" : size(r.resident()));
    }
    row(out, "keys and values", "", size(plan.cache()));
    row(out, "scratch", "", size(plan.scratch()));
    if (plan.staging() > 0) {
      row(out, "experts on the way", "", size(plan.staging()));
    }
    row(out, "the JVM", "", size(plan.machine()));
    long stored = plan.roles().stream().mapToLong(RoleBytes::stored).sum();
    row(out, "total", size(stored), size(plan.total()));
  }

  private static void row(PrintWriter out, String name, String disk, String memory) {
    out.printf(Locale.ROOT, "%-" + NAME + "s %12s %12s%n", name, disk, memory);
  }

  private String memory() {
    String most = "everything fits into " + size(plan.everything());
    String least = "it runs in " + size(plan.minimum()) + " or more";
    return size(plan.total())
        + budget.map(b -> " of the " + size(b) + " allowed").orElse("")
        + "; "
        + (plan.offload().isEmpty() && plan.minimum() >= plan.everything()
            ? "nothing of it can stay on disk"
            : most + ", " + least);
  }

  private String experts() {
    if (plan.offload().isEmpty()) {
      return "all in memory";
    }
    int least = Collections.min(slots());
    int most = Collections.max(slots());
    return String.format(
        Locale.ROOT,
        "%s of the %d of each layer in memory, the others on disk",
        least == most ? "" + least : least + " or " + most,
        plan.shape().mixture().experts());
  }

  private String pace() {
    String memory =
        String.format(
            Locale.ROOT,
            "at most %.1f tokens a second: each reads %s of memory at %s a second",
            speed.tokensPerSecond(),
            size(speed.bytes()),
            size(Math.round(speed.memoryBandwidth())));
    if (plan.offload().isEmpty()) {
      return memory;
    }
    return memory
        + String.format(
            Locale.ROOT,
            ", and %s of disk at %s a second if all experts are equally likely, so that %.0f of %d"
                + " are missing; real texts repeat their experts and miss fewer",
            size(Math.round(speed.missedBytes())),
            size(Math.round(speed.diskBandwidth())),
            speed.misses(),
            speed.experts());
  }

  private List<String> run() {
    List<String> words = new ArrayList<>(List.of("moe", "generate", model.toString()));
    words.addAll(flags());
    return words;
  }

  private static double hundredths(double x) {
    return Math.round(x * 100) / 100.0;
  }

  private static String size(long bytes) {
    if (bytes < 1_000_000) {
      return String.format(Locale.ROOT, "%.1f kB", bytes / 1e3);
    }
    return bytes >= 1_000_000_000
        ? String.format(Locale.ROOT, "%.2f GB", bytes / 1e9)
        : String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }

  /** As {@link Size} reads it. */
  private static String flag(long bytes) {
    for (var unit : List.of(Map.entry(1_000_000_000L, "g"), Map.entry(1_000_000L, "m"))) {
      if (bytes % unit.getKey() == 0) {
        return bytes / unit.getKey() + unit.getValue();
      }
    }
    return Long.toString(bytes);
  }
}
