"""Boxes for other tools and back: COCO JSON, YOLO folders, Prophesee's npy and HDF5. Without torch."""
