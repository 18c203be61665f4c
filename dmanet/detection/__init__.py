"""From head outputs to boxes and losses: anchors, boxes, matching, suppression."""
