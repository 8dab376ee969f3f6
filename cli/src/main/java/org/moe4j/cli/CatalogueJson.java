package org.moe4j.cli;

import org.moe4j.BalanceRegistry;
import org.moe4j.ListedSystem;
import org.moe4j.OptionKey;
import org.moe4j.RouterEntry;
import org.moe4j.Taxonomy;
import tools.jackson.databind.node.ObjectNode;

/** A system of the reading list, with its routers and losses, as a JSON object. */
final class CatalogueJson {
  private CatalogueJson() {}

  static void write(ListedSystem s, ObjectNode json) {
    json.put("id", s.id())
        .put("name", s.name())
        .put("paper", s.paper().title())
        .put("arxiv", s.paper().arxiv())
        .put("year", s.paper().year())
        .put("institution", s.paper().institution())
        .put("state", s.state().label())
        .put("causal", s.causal())
        .put("causality", Causal.label(s.causality()));
    write(s.taxonomy(), json);
    var routers = json.putArray("routers");
    s.routers().forEach(r -> write(r, routers.addObject()));
    var losses = json.putArray("losses");
    for (BalanceRegistry.Entry b : s.losses()) {
      losses.addObject().put("name", b.loss().name()).put("description", b.description());
    }
  }

  private static void write(RouterEntry r, ObjectNode json) {
    json.put("name", r.name())
        .put("description", r.description())
        .put("causal", r.causality().decodes())
        .put("causality", Causal.label(r.causality()));
    write(r.taxonomy(), json);
    r.losses().forEach(json.putArray("losses")::add);
    ObjectNode options = json.putObject("options");
    r.options().forEach(key -> write(key, options.putObject(key.key())));
  }

  private static void write(OptionKey key, ObjectNode json) {
    switch (key.standard()) {
      case Double d -> json.put("default", d);
      case Long l -> json.put("default", l);
      case Boolean b -> json.put("default", b);
      default -> json.put("default", key.standard().toString());
    }
    json.put("doc", key.doc());
    if (!key.values().isEmpty()) {
      key.values().forEach(json.putArray("values")::add);
    }
  }

  private static void write(Taxonomy taxonomy, ObjectNode json) {
    ObjectNode values = json.putObject("taxonomy");
    taxonomy.values().forEach(values::put);
  }
}
