package org.moe4j.train;

import java.nio.file.Path;
import org.moe4j.BalanceRegistry;
import org.moe4j.BalanceTerm;
import org.moe4j.MoeConfig;
import org.moe4j.RouterEntry;
import org.moe4j.models.DecoderConfig;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What of the literature a model is made of: papers and the twelve taxonomy values of S22. */
final class Manifest {
  static final String FILE = "moe4j.json";

  private Manifest() {}

  /** Writes the manifest of a model beside it. */
  static void write(Path folder, DecoderConfig config) {
    Json.write(
        folder.resolve(FILE),
        json -> {
          json.put("format", "moe4j/1");
          ArrayNode layers = json.putArray("moe");
          config.feedForward().stream()
              .flatMap(f -> f.sparse().stream())
              .distinct()
              .forEach(moe -> describe(moe, layers.addObject()));
        });
  }

  private static void describe(MoeConfig moe, ObjectNode json) {
    RouterEntry router = moe.routerEntry();
    json.put("router", router.name());
    json.put("paper", router.paper());
    json.put("description", router.description());
    ObjectNode taxonomy = json.putObject("taxonomy");
    router.taxonomy().values().forEach(taxonomy::put);
    json.put("dispatcher", moe.dispatch().label());
    json.put("experts", moe.experts());
    json.put("top_k", moe.topK());
    ArrayNode losses = json.putArray("balance");
    for (BalanceTerm term : moe.balance()) {
      ObjectNode loss = losses.addObject();
      loss.put("loss", term.loss().name());
      loss.put("coefficient", term.coefficient());
      BalanceRegistry.entries().stream()
          .filter(e -> e.loss().name().equals(term.loss().name()))
          .findFirst()
          .ifPresent(e -> loss.put("paper", e.paper()));
    }
  }
}
