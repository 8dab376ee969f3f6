package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.moe4j.BalanceRegistry;
import org.moe4j.OptionKey;
import org.moe4j.RouterEntry;
import org.moe4j.RouterRegistry;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code moe list}. */
@Command(
    name = "list",
    description = "List the routers and balance losses with the papers they come from.",
    footer = {"  moe list", "  moe list --matrix"})
final class ListCommand implements Callable<Integer> {
  @Option(names = "--matrix", description = "Show the twelve taxonomy values of each router.")
  private boolean matrix;

  @Option(names = "--json", description = "Print everything as one JSON document.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      Documents.print(out, ListCommand::write);
      return Moe.DONE;
    }
    for (RouterEntry r : RouterRegistry.entries()) {
      line(out, r.name(), r.paper(), r.description());
      if (matrix) {
        for (Map.Entry<String, String> e : r.taxonomy().values().entrySet()) {
          out.printf(Locale.ROOT, "    %-10s %s%n", e.getKey(), e.getValue());
        }
      }
    }
    out.println();
    BalanceRegistry.entries().forEach(b -> line(out, b.loss().name(), b.paper(), b.description()));
    return Moe.DONE;
  }

  private static void line(PrintWriter out, String name, String paper, String description) {
    out.printf(Locale.ROOT, "%-16s %-4s %s%n", name, paper, description);
  }

  private static void write(ObjectNode json) {
    ArrayNode routers = json.putArray("routers");
    for (RouterEntry r : RouterRegistry.entries()) {
      ObjectNode node = routers.addObject();
      node.put("name", r.name()).put("paper", r.paper()).put("description", r.description());
      ObjectNode taxonomy = node.putObject("taxonomy");
      r.taxonomy().values().forEach(taxonomy::put);
      ObjectNode options = node.putObject("options");
      for (OptionKey key : r.options()) {
        options
            .putObject(key.key())
            .put("default", key.standard().toString())
            .put("doc", key.doc());
      }
    }
    ArrayNode losses = json.putArray("balance");
    BalanceRegistry.entries()
        .forEach(
            b ->
                losses
                    .addObject()
                    .put("name", b.loss().name())
                    .put("paper", b.paper())
                    .put("description", b.description()));
  }
}
