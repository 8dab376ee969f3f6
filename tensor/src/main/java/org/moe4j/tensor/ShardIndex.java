package org.moe4j.tensor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code model.safetensors.index.json} or {@code pytorch_model.bin.index.json}: which shard holds
 * which tensor.
 *
 * @param shardOf the shard's file name, in the index's own folder, by tensor name
 */
record ShardIndex(Map<String, String> shardOf) {
  /**
   * Reads an index.
   *
   * @param ending how the shards' names end, for instance {@code .safetensors}
   * @throws MoeException if it is not one, or names a file outside its folder
   */
  static ShardIndex read(Path file, String ending) {
    byte[] json;
    try {
      if (Files.size(file) > SafetensorsHeader.LONGEST) {
        throw new MoeException(
            file + ": over the limit of " + SafetensorsHeader.LONGEST + " bytes");
      }
      json = Files.readAllBytes(file);
    } catch (IOException e) {
      throw new MoeException("cannot read " + file + ": " + Names.shown(e.toString()), e);
    }
    Map<String, String> shardOf = new LinkedHashMap<>();
    StrictJson.read(
        json,
        file.toString(),
        in -> {
          in.objectStart("the index");
          boolean found = false;
          while (in.nextKey()) {
            if (in.key().equals("weight_map")) {
              found = true;
              readMap(in, ending, shardOf);
            } else {
              in.skipValue();
            }
          }
          if (!found) {
            throw in.failure("weight_map is missing");
          }
        });
    return new ShardIndex(shardOf);
  }

  private static void readMap(StrictJson in, String ending, Map<String, String> shardOf) {
    in.objectStart("weight_map");
    while (in.nextKey()) {
      String tensor = in.key();
      String shard = in.string("weight_map." + Names.shown(tensor));
      if (!isPlainName(shard, ending)) {
        throw in.failure(
            "tensor "
                + Names.shown(tensor)
                + " is said to be in "
                + Names.shown(shard)
                + "; a shard must be a "
                + ending
                + " file in the index's own folder");
      }
      shardOf.put(tensor, shard);
    }
  }

  private static boolean isPlainName(String shard, String ending) {
    return shard.endsWith(ending)
        && shard.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
  }

  /**
   * Reads the index of a folder and gives each tensor's name and its shard's path.
   *
   * @throws MoeException as {@link #read}, or if a shard is missing
   */
  static void forEach(Path index, String ending, BiConsumer<String, Path> tensor) {
    read(index, ending)
        .shardOf()
        .forEach(
            (name, shard) -> {
              Path file = index.resolveSibling(shard);
              if (!Files.exists(file)) {
                throw new MoeException(
                    index
                        + ": the shard "
                        + shard
                        + " is missing (it holds "
                        + Names.shown(name)
                        + ")");
              }
              tensor.accept(name, file);
            });
  }

  static MoeException notInShard(Path index, String name, Path shard) {
    return new MoeException(
        index + ": tensor " + Names.shown(name) + " is not in its shard " + shard.getFileName());
  }

  /** The index as JSON, with the total size of the values. */
  byte[] toJson(long totalBytes) {
    JsonMapper mapper = new JsonMapper();
    ObjectNode root = mapper.createObjectNode();
    root.putObject("metadata").put("total_size", totalBytes);
    ObjectNode map = root.putObject("weight_map");
    shardOf.forEach(map::put);
    return mapper.writerWithDefaultPrettyPrinter().writeValueAsBytes(root);
  }
}
